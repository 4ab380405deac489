/**
 * Tells whether code runs in the request that took a lease. A stub only fails at its next call in another request,
 * which is too late. Called by remote-lease.ts.
 */

declare const WebSocketPair: new () => { readonly 0: { readonly readyState: number } };

/** Returns a function that tells whether code runs in the request, or the Durable Object, in which this was called. */
export function markRequest(): () => boolean {
  // It belongs to the request like all I/O, and costs none. Touched from another request it throws.
  const marker = new WebSocketPair()[0];
  return () => {
    try {
      void marker.readyState;
      return true;
    } catch {
      return false;
    }
  };
}
