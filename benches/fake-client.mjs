import { EventEmitter } from "node:events";

/** What pg-pool needs of a pg.Client. */
export class FakeClient extends EventEmitter {
  _queryable = true;
  _ending = false;

  connect(callback) {
    callback();
  }

  end(callback) {
    this._ending = true;
    this.emit("end");
    callback?.();
  }

  query(_text, _values, callback) {
    callback?.(undefined, { rows: [] });
  }

  isConnected() {
    return true;
  }

  ref() {}

  unref() {}
}
