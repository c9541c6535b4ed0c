#!/usr/bin/env node
// `train-reft` is `reft train-reft` under its own name.
import { main } from "../cli.ts";

process.exit(await main(process.argv.slice(2), "train-reft"));
