// A pool of browsers, with playwright-core: a dialect for what is no database.
//
// A lease is a browser. What its caller leaves open in it is closed at the return, so the next caller begins with a
// browser as it was launched. A browser that crashes is replaced, and only its caller notices.

import { QueuePool } from "edgepool";

/** How the pool calls a `Browser` of playwright. */
export const browsers = {
  name: "browsers",
  /** Whether its caller has left anything open. Then the return closes it. */
  inTransaction: (browser) => browser.contexts().length > 0,
  doRollback: (browser) => Promise.all(browser.contexts().map((context) => context.close())),
  doClose: (browser) => browser.close(),
  doPing: (browser) => browser.isConnected(),
  /** An error concerns this browser alone: a page may be closed while the browser goes on. */
  isDisconnect: (error, browser) => !browser.isConnected() && "connection",
  onDisconnect(browser, died) {
    const onDisconnected = () => died(new Error("the browser has crashed"));
    browser.on("disconnected", onDisconnected);
    return () => browser.off("disconnected", onDisconnected);
  },
};

/** Returns a pool of at most `size` browsers. A browser is launched again after 100 leases: it grows with time. */
export function browserPool(launch, { size = 2, ...options } = {}) {
  return new QueuePool(launch, {
    dialect: browsers,
    poolSize: size,
    maxOverflow: 0,
    maxUses: 100,
    idleTimeout: "1m",
    // A page that hangs would else keep its browser.
    holdLimit: "30s",
    onHoldLimit: "terminate",
    ...options,
  });
}

/** Returns the title of a page, in a context of its own. */
export function titleOf(pool, url) {
  return pool.use(async (browser) => {
    const page = await browser.newPage();
    await page.goto(url);
    return page.title();
  });
}
