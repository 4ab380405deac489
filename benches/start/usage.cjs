// Loaded before each program of this folder: writes what the whole process has used when the program ends.

const { readFileSync, writeSync } = require("node:fs");

process.on("exit", () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  writeSync(
    1,
    JSON.stringify({ cpuMs: (userCPUTime + systemCPUTime) / 1000, peakBytes: peakBytes() ?? maxRSS * 1024 }),
  );
});

/** Linux counts the memory of the parent process into maxRSS; its peak of this program alone is in a file. */
function peakBytes() {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
  } catch {
    return undefined;
  }
}
