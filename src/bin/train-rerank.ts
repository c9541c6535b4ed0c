#!/usr/bin/env node
// `train-rerank` is `reft train-rerank` under its own name.
import { runProgram } from "../cli.ts";

await runProgram("train-rerank");
