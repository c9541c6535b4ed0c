#!/usr/bin/env node
// `train-rerank` is `reft train-rerank` under its own name.
import { main } from "../cli.ts";

process.exit(await main(process.argv.slice(2), "train-rerank"));
