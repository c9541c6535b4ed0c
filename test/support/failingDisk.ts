// A disk that fails at one chosen operation, as a crash (nothing works afterwards) or as a passing error.
import type { Disk } from "../../src/formats/disk.ts";
import { nodeDisk } from "../../src/formats/disk.ts";

export type Failure = "crash" | "ENOSPC";

export interface FailingDisk extends Disk {
  /** The operation that failed, once it has. */
  readonly failedAt: string | undefined;
}

/** The n-th operation, counted from 1, fails before it does anything; a write leaves half of its text behind. */
export function failingDisk(n: number, failure: Failure): FailingDisk {
  let operations = 0;
  let failedAt: string | undefined;
  const guarded =
    <A extends [string, ...string[]]>(name: keyof Disk, action: (...args: A) => void) =>
    (...args: A): void => {
      operations++;
      const isDown = failure === "crash" && operations > n;
      if (operations !== n && !isDown) {
        action(...args);
        return;
      }
      failedAt ??= `${name} ${args[0]}`;
      if (!isDown && (name === "write" || name === "append"))
        nodeDisk[name](args[0], args[1]!.slice(0, args[1]!.length / 2));
      throw Object.assign(new Error(`${failure} at operation ${n}`), { code: failure });
    };
  return {
    makeFolder: guarded("makeFolder", nodeDisk.makeFolder),
    write: guarded("write", nodeDisk.write),
    append: guarded("append", nodeDisk.append),
    sync: guarded("sync", nodeDisk.sync),
    rename: guarded("rename", nodeDisk.rename),
    remove: guarded("remove", nodeDisk.remove),
    get failedAt() {
      return failedAt;
    },
  };
}
