import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "./generated/client.ts";

export function open(Pool, options) {
  const pool = new Pool(options);
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: true }) });
  return {
    pool,
    makeTable: () => prisma.$executeRaw`CREATE TABLE item (name text PRIMARY KEY)`,
    insert: (names) => prisma.item.createMany({ data: names.map((name) => ({ name })) }),
    names: async () => (await prisma.item.findMany()).map(({ name }) => name),
    transaction: (work) =>
      prisma.$transaction((tx) =>
        work({
          insert: (name) => tx.item.create({ data: { name } }),
          pid: async () => (await tx.$queryRaw`SELECT pg_backend_pid() AS pid`)[0].pid,
        }),
      ),
    close: () => prisma.$disconnect(),
  };
}
