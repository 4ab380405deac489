import { rows } from "../../pool.js";

export const runtime = "edge";

export const GET = () => rows("SELECT 'route'").then((answer) => Response.json(answer));
