// A checkpoint as a Hugging Face folder or a GGUF file for other tools, checked before it is handed over.
import { show, UserError } from "../errors.ts";
import { type ExportReport, exportModel } from "../models/export.ts";
import { exportGguf, type GgufExportReport } from "../models/exportGguf.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";

const dtypes = { f32: "F32", bf16: "BF16", f16: "F16" } as const;

export interface ExportArguments {
  /** A run's folder, of which the best one is taken, a checkpoint, or a model's folder. */
  readonly checkpoint: string;
  /** A folder that is not there yet, or empty. */
  readonly output: string;
  /** Of the weights; rounded to nearest even. */
  readonly dtype: keyof typeof dtypes;
  /** Largest file of weights, in 10^9 bytes. */
  readonly maxShardGigabytes: number;
  /** Whether the value head of a ReFT checkpoint is written, too. */
  readonly valueHead: boolean;
}

/** Writes a Hugging Face folder, reads it back, compares. @throws UserError when it is not what was to be exported */
export function exportCheckpoint(args: ExportArguments): ExportReport {
  const { checkpoint, output, dtype, maxShardGigabytes, valueHead } = args;
  if (!(maxShardGigabytes > 0)) {
    throw new UserError(`maxShardGigabytes: expected more than 0, found ${maxShardGigabytes}`);
  }
  checkIsFolder(output);
  const source = resolveModelFolder(checkpoint);
  const maxShardBytes = maxShardGigabytes * 1e9;
  return exportModel(source, output, { dtype: dtypes[dtype], maxShardBytes, valueHead });
}

const ggufDtypes = { ...dtypes, q8_0: "Q8_0" } as const;

export interface GgufArguments {
  /** A run's folder, of which the best one is taken, a checkpoint, or a model's folder. */
  readonly checkpoint: string;
  /** A folder that is not there yet, or empty. */
  readonly output: string;
  /** Of the matrices; norms stay float32. */
  readonly dtype: keyof typeof ggufDtypes;
  /** Whether a Modelfile for Ollama is written, too. */
  readonly modelfile: boolean;
}

/** Writes a folder with model.gguf, reads it back, compares. @throws UserError when it is not what was to be exported */
export function exportCheckpointAsGguf(args: GgufArguments): GgufExportReport {
  const { checkpoint, output, dtype, modelfile } = args;
  checkIsFolder(output);
  const source = resolveModelFolder(checkpoint);
  return exportGguf(source, output, { dtype: ggufDtypes[dtype], modelfile });
}

/** @throws UserError for a file's name: a folder would get it, which nobody expects */
function checkIsFolder(output: string): void {
  const extension = /\.(gguf|safetensors)$/i.exec(output)?.[0];
  if (extension === undefined) return;
  const found = `found ${show(output)}: leave ${extension} out`;
  throw new UserError(`output: expected a folder, into which the files are written, ${found}`);
}
