// Hundreds of hostile programs by what they attack. `npm run test:attacks` runs all of them, the tests some.
import type { Attack } from "./attack.ts";
import { hostAttacks } from "./host.ts";
import { interpreterAttacks } from "./interpreter.ts";
import { programAttacks } from "./programs.ts";

export const attacks: readonly Attack[] = [
  ...hostAttacks,
  ...interpreterAttacks,
  ...programAttacks,
];
