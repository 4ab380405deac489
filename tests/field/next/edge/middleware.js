import { NextResponse } from "next/server";
// First: the entry of pool.js would bring the WebAssembly.
import { rows as slimRows } from "./slim.js";
import { rows } from "./pool.js";

export async function middleware() {
  const response = NextResponse.next();
  const answers = await Promise.all([rows("SELECT 'middleware'"), slimRows("SELECT 'slim'")]);
  response.headers.set("x-rows", answers.map(([{ text }]) => text).join());
  return response;
}
