// Does nothing: what Node itself costs. All programs of this folder end by process.exit(), since some pools would go
// on.
process.exit();
