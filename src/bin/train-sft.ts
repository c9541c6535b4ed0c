#!/usr/bin/env node
// `train-sft` is `reft train-sft` under its own name.
import { runProgram } from "../cli.ts";

await runProgram("train-sft");
