import Pool from "./index.cjs";

export { Pool };
export default Pool;
