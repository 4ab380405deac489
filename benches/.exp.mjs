import { setFlagsFromString } from "node:v8";
if (!process.env.FLUSH) setFlagsFromString("--no-flush-bytecode");
const { contestants } = await import("/work/main/benches/adapters.mjs");
const { prepare, scenarios, settle, warm } = await import("/work/main/benches/scenarios.mjs");
const names = (process.env.N ?? "edgepool,twin,floor").split(",");
const sc = scenarios.find(s=>s.id===(process.env.S??"a"));
const counts = (process.env.C ?? "20000,200000").split(",").map(Number);
const pairs=[];
for (const c of contestants) if (names.includes(c.name)) { const p = prepare(c, await c.load(), sc); p.kept = await warm(p.pool, sc.connections); pairs.push(p); }
for (const count of counts) {
  const out = new Map(pairs.map(p=>[p.contestant.name,[]]));
  for (let r=0;r<Number(process.env.R??41);r++) for (const p of (r%2?pairs:[...pairs].reverse())) { if(!process.env.NOGC) await settle(); if(process.env.LEAD) await p.measure({count:+process.env.LEAD}); out.get(p.contestant.name).push(await p.measure({count})); }
  for (const [n,v] of out) { v.splice(0,3); v.sort((a,b)=>a-b); console.log(count, n.padEnd(15), "min", v[0].toFixed(0), "p25", v[v.length>>2].toFixed(0), "med", v[v.length>>1].toFixed(0)); }
}
process.exit(0);
