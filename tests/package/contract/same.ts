// How the other files here state a type: `holds<Same<what is exported, what is promised>>()` compiles only where both
// are one and the same, optional and readonly members included.

export type Same<X, Y> = (<T>() => T extends X ? 1 : 2) extends <T>() => T extends Y ? 1 : 2 ? true : false;

/** The members of an object type by themselves, so that an interface, a class and a literal compare. */
export type Flat<T> = { [K in keyof T]: T[K] };

export function holds<_Claim extends true>(): void {}

/** A driver's connection. */
export class Connection {
  query(text: string): Promise<number> {
    return Promise.resolve(text.length);
  }
}
