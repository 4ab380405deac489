import { rows } from "../../pool.js";

export const dynamic = "force-dynamic";

export async function GET() {
  const customers = await rows("SELECT name, pg_backend_pid() AS backend FROM customers ORDER BY id");
  const [{ backend }] = await rows("SELECT pg_backend_pid() AS backend");
  return Response.json({ names: customers.map(({ name }) => name), backends: [customers[0].backend, backend] });
}
