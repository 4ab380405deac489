export { Pool, Pool as default } from "edgepool/pg-pool";
