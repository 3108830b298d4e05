// Send calls through Segment's Node client, and print what it reports as failed. The argument is the folder that the
// client is installed in; standard input has its settings and the calls by their names in the documentation.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Analytics } = createRequire(`${process.argv[2]}/`)("@segment/analytics-node");
const order = JSON.parse(readFileSync(0, "utf8"));
const failures = [];
const client = new Analytics({ writeKey: order.key, host: order.host, ...order.settings });
client.on("error", (error) => failures.push(String(error.reason?.message ?? error.reason ?? error.code)));
for (const { call, ...message } of order.calls) {
  client[call](message);
}
await client.closeAndFlush();
process.stdout.write(JSON.stringify(failures));
