import { NextResponse } from "next/server";
import { rows } from "./pool.js";

export async function middleware() {
  const response = NextResponse.next();
  const [{ text }] = await rows("SELECT 'middleware'");
  response.headers.set("x-row", text);
  return response;
}
