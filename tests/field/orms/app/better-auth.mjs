import { randomBytes } from "node:crypto";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";

// Hashing a password takes longer than all else.
const password = { hash: async (password) => password, verify: async ({ hash, password }) => hash === password };

export function open(Pool, options) {
  const pool = new Pool(options);
  const others = {
    secret: randomBytes(32).toString("hex"),
    baseURL: "http://localhost",
    emailAndPassword: { enabled: true, password },
  };
  const auth = betterAuth({ database: pool, ...others });
  const account = (name) => ({ name, email: `${name}@example.org`, password: `${name}-password` });
  return {
    pool,
    makeTable: async () => (await getMigrations(auth.options)).runMigrations(),
    insert: (names) => Promise.all(names.map((name) => auth.api.signUpEmail({ body: account(name) }))),
    names: async () => (await (await auth.$context).internalAdapter.listUsers()).map(({ name }) => name),
    close: () => pool.end(),
  };
}
