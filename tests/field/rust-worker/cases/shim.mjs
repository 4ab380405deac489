import { clients } from "edgepool/pg";
import wasm from "./index_bg.wasm";
import * as rust from "./index.js";
rust.initSync({ module: wasm });
export default {
  fetch(request, env, context) {
    rust.use_creator(clients(env.DATABASE_URL));
    return rust.fetch(request, env, context);
  },
};
export const Holder = rust.Holder;
