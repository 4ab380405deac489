// Stands for modules that only Node has; see bundle.mjs.

export default undefined;
