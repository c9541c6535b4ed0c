// A thread that reads one Parquet file and ends. Plain JavaScript, because Node starts it as it is.
import { parentPort, workerData } from "node:worker_threads";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";

parentPort.postMessage("begun");
parentPort.postMessage(await parquetReadObjects({ file: workerData, compressors, utf8: false }));
