/**
 * Whose request it is: of a stub only a call says, when it is too late, that it belongs to another one. Called by
 * pool-of.ts for the lease that a caller holds.
 */

declare const WebSocketPair: new () => { readonly 0: { readonly readyState: number } };

/** Answers from then on whether the code runs in the request, or the Durable Object, in which this was called. */
export function markRequest(): () => boolean {
  // Belongs to the request like all I/O, and costs none: touched from another one it throws.
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
