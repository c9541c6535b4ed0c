#!/usr/bin/env node
// `train-sft` is `reft train-sft` under its own name.
import { main } from "../cli.ts";

process.exit(await main(process.argv.slice(2), "train-sft"));
