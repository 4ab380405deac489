/**
 * Publishes activities as a TracingChannel does: start, end, and for a promise asyncStart and asyncEnd; error before
 * them. Its own tracePromise() would make a promise of an answer that is none, and a pool awaits none that it need not.
 */

import type { ActivityName, Observable, Observer } from "../observer.js";

export interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: object): void;
  /** Publishes, and runs the function with the stores that are bound to the channel. */
  runStores<R>(message: object, run: () => R): R;
}

export const channelEvents = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;

export type TracingChannel = Readonly<Record<(typeof channelEvents)[number], Channel>>;

interface Message {
  readonly pool: object;
  error?: unknown;
  result?: unknown;
}

/** Returns the observer that publishes on these channels. `isInUse`: whether a channel has subscribers or stores. */
export function observerFor(
  channels: ReadonlyMap<ActivityName, TracingChannel>,
  isInUse: (channel: TracingChannel) => boolean,
): Observer {
  return (pool, { name, ...about }, call) => {
    const channel = channels.get(name);
    return channel === undefined || !isInUse(channel) ? call() : traced(channel, { pool, ...about }, call);
  };
}

function traced<R>(channel: TracingChannel, message: Message, call: () => R): R {
  const { start, end, asyncStart, asyncEnd, error } = channel;
  const publish = (to: Channel): void => {
    // In Node what a subscriber throws is an uncaught exception, and publish() does not throw.
    try {
      to.publish(message);
    } catch (failure) {
      report(message.pool, failure);
    }
  };
  const succeeded = (result: unknown): unknown => {
    message.result = result;
    publish(asyncStart);
    publish(asyncEnd);
    return result;
  };
  const failed = (failure: unknown): never => {
    message.error = failure;
    publish(error);
    publish(asyncStart);
    publish(asyncEnd);
    throw failure;
  };
  let hasRun = false;
  const run = (): R => {
    hasRun = true;
    try {
      const answer = call();
      if (typeof (answer as { then?: unknown } | undefined)?.then === "function")
        return Promise.resolve(answer).then(succeeded, failed) as R;
      message.result = answer;
      return answer;
    } catch (failure) {
      message.error = failure;
      publish(error);
      throw failure;
    } finally {
      publish(end);
    }
  };
  try {
    return start.runStores(message, run);
  } catch (failure) {
    if (hasRun) throw failure;
    report(message.pool, failure);
    return run();
  }
}

function report(pool: object, failure: unknown): void {
  const { listeners } = (pool as { observable(): Observable }).observable();
  listeners.report("listener", failure, null, "a subscriber of a diagnostics channel failed");
}
