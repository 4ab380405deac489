// @ts-check
// A meter that keeps what it is given, in the shape of @opentelemetry/api.

/** Where every metric has its name. */
export const prefix = "db.client.connection.";

export function scriptedMeter() {
  /** Each instrument that was made, in order. */
  const instruments = [];
  /** What was recorded, in order: the short name of the histogram, and the seconds. */
  const recorded = [];
  const callbacks = new Map();
  /** @type {{ record?: () => void, observe?: () => void }} */
  const script = {};
  const make = (kind) => (name, options) => {
    const instrument = {
      name,
      kind,
      options,
      addCallback() {},
      record(seconds, attributes) {
        script.record?.();
        recorded.push([name.slice(prefix.length), seconds, attributes]);
      },
    };
    instruments.push(instrument);
    return instrument;
  };
  const meter = {
    createHistogram: make("histogram"),
    createObservableCounter: make("counter"),
    createObservableUpDownCounter: make("up-down counter"),
    addBatchObservableCallback: (callback, observed) => void callbacks.set(callback, observed),
    removeBatchObservableCallback: (callback) => void callbacks.delete(callback),
  };
  /** Reads every number, by its short name; a state stands behind the name. Of one pool name, if one is given. */
  const read = (poolName) => {
    const numbers = {};
    for (const [callback, observed] of callbacks) {
      callback({
        observe(instrument, value, attributes) {
          script.observe?.();
          if (!observed.includes(instrument)) throw new Error(`${instrument.name} is none of the callback's`);
          const name = attributes[`${prefix}pool.name`];
          if (poolName !== undefined && name !== poolName) return;
          const state = attributes[`${prefix}state`];
          const key = instrument.name.slice(prefix.length) + (state === undefined ? "" : ` ${state}`);
          if (key in numbers) throw new Error(`${key} is observed twice`);
          numbers[key] = value;
        },
      });
    }
    return numbers;
  };
  /** What was recorded since it was last asked, without the attributes: ["wait_time", 0.02]. */
  const times = () => recorded.splice(0).map(([name, seconds]) => [name, seconds]);
  return { meter, instruments, recorded, callbacks, script, read, times };
}
