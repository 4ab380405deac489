import type { PoolClass } from "edgepool/pg-pool" with { "resolution-mode": "import" };

declare const Pool: PoolClass & { readonly Pool: PoolClass; readonly default: PoolClass };
export = Pool;
