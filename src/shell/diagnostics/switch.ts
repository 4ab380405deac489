/**
 * Observes the pools only as long as the channels are in use: until then a checkout costs nothing more. The module
 * notifies of no subscription, so the methods of these channels do. In a host whose module goes past them (workerd) the
 * pools are observed at all times.
 */

import type { ActivityName } from "../observer.js";
import { channelEvents, type Channel, type TracingChannel } from "./channel-observer.js";

/** The module node:diagnostics_channel. */
export interface DiagnosticsChannel {
  channel(name: string): Channel;
  subscribe?(name: string, listener: () => void): void;
  unsubscribe?(name: string, listener: () => void): void;
  tracingChannel(name: string): TracingChannel;
}

const methods = ["subscribe", "unsubscribe", "bindStore", "unbindStore"];

/** The stores that were bound to a channel. In workerd they count for no subscribers. */
const storesOf = new WeakMap<Channel, Set<unknown>>();

export function isInUse(channel: TracingChannel): boolean {
  return channelEvents.some((event) => {
    const { [event]: one } = channel;
    return one.hasSubscribers || (storesOf.get(one)?.size ?? 0) > 0;
  });
}

/** Calls `changed` after each of these methods of the channel. */
function attend(channel: Channel, changed: () => void): void {
  const stores = new Set<unknown>();
  storesOf.set(channel, stores);
  for (const method of methods) {
    if (typeof (channel as unknown as Record<string, unknown>)[method] !== "function") continue;
    const value = function (this: object, ...given: unknown[]): unknown {
      // Looked up now: a channel has another prototype while it has subscribers.
      const { [method]: own } = Object.getPrototypeOf(this) as Record<string, () => unknown>;
      const answer = Reflect.apply(own as () => unknown, this, given);
      if (method === "bindStore") stores.add(given[0]);
      else if (method === "unbindStore") stores.delete(given[0]);
      changed();
      return answer;
    };
    Object.defineProperty(channel, method, { value, configurable: true, writable: true });
  }
}

/** Whether the module calls the methods of its channels. */
function callsMethods(module: DiagnosticsChannel): boolean {
  const name = "edgepool:probe";
  let isCalled = false;
  const listener = (): void => {};
  try {
    const channel = module.channel(name);
    attend(channel, () => (isCalled = true));
    module.subscribe?.(name, listener);
    module.unsubscribe?.(name, listener);
    return isCalled || module.subscribe === undefined;
  } catch {
    return false;
  }
}

/** A channel without a subscriber may be collected, and a new one of its name would not be attended to. */
const kept = new Set<unknown>();

/** Calls `begin` when the channels come into use, and what that returned when they are in use no more. */
export function whileInUse(
  module: DiagnosticsChannel,
  channels: ReadonlyMap<ActivityName, TracingChannel>,
  begin: () => () => void,
): void {
  kept.add(channels);
  const isSwitchable = callsMethods(module);
  let end = isSwitchable ? undefined : begin();
  const changed = (): void => {
    if (!isSwitchable) return;
    if ([...channels.values()].some(isInUse)) end ??= begin();
    else {
      end?.();
      end = undefined;
    }
  };
  for (const channel of channels.values()) for (const event of channelEvents) attend(channel[event], changed);
  // A program may have subscribed before.
  changed();
}
