import PostgresAdapter from "@auth/pg-adapter";

export function open(Pool, options) {
  const pool = new Pool(options);
  const adapter = PostgresAdapter(pool);
  const user = (name) => ({ name, email: `${name}@example.org`, emailVerified: null, image: null });
  return {
    pool,
    makeTable: () =>
      pool.query('CREATE TABLE users (id serial, name text, email text, "emailVerified" timestamptz, image text)'),
    insert: (names) => Promise.all(names.map((name) => adapter.createUser(user(name)))),
    names: async () => (await pool.query("SELECT name FROM users")).rows.map(({ name }) => name),
    close: () => pool.end(),
  };
}
