import { PrismaPg } from "@prisma/adapter-pg";

export async function open(Pool, options) {
  const pool = new Pool(options);
  const adapter = await new PrismaPg(pool, { disposeExternalPool: true }).connect();
  const ask = async (queryable, sql, args = []) => {
    const argTypes = args.map(() => ({ scalarType: "string", arity: "scalar" }));
    return (await queryable.queryRaw({ sql, args, argTypes })).rows;
  };
  return {
    pool,
    makeTable: () => adapter.executeScript("CREATE TABLE item (name text)"),
    insert: (names) => ask(adapter, `INSERT INTO item VALUES ${names.map((_, at) => `($${at + 1})`)}`, names),
    names: async () => (await ask(adapter, "SELECT name FROM item")).flat(),
    async transaction(work) {
      const tx = await adapter.startTransaction();
      // As @prisma/client does: the adapter leaves the statement to its caller, and gives the client back.
      const end = async (sql, give) => {
        try {
          await tx.executeRaw({ sql, args: [], argTypes: [] });
        } finally {
          await give.call(tx);
        }
      };
      let result;
      try {
        result = await work({
          insert: (name) => ask(tx, "INSERT INTO item VALUES ($1)", [name]),
          pid: async () => Number((await ask(tx, "SELECT pg_backend_pid()"))[0][0]),
        });
      } catch (error) {
        await end("ROLLBACK", tx.rollback).catch(() => {});
        throw error;
      }
      await end("COMMIT", tx.commit);
      return result;
    },
    close: () => adapter.dispose(),
  };
}
