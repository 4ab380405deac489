export { Pool } from "edgepool/pg";
