#!/usr/bin/env node
// `train-reft` is `reft train-reft` under its own name.
import { runProgram } from "../cli.ts";

await runProgram("train-reft");
