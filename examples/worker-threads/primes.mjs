// What each thread runs: counts the primes below a number. Stands for any work that takes long.

import { parentPort } from "node:worker_threads";

parentPort.on("message", ({ below }) => {
  try {
    parentPort.postMessage({ result: primesBelow(below) }, []);
  } catch (error) {
    parentPort.postMessage({ error }, []);
  }
});

parentPort.postMessage("ready", []);

function primesBelow(below) {
  if (!(below >= 0)) throw new RangeError(`${below} is no number to count to`);
  let count = 0;
  for (let number = 2; number < below; number++) {
    let divisor = 2;
    while (divisor * divisor <= number && number % divisor !== 0) divisor++;
    if (divisor * divisor > number) count++;
  }
  return count;
}
