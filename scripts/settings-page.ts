// Writes docs/settings.md and the schemas in configs/schema/: npx tsx scripts/settings-page.ts
import { writeFileSync } from "node:fs";
import { settingsKinds, settingsSchema } from "../src/tasks/settingRows.ts";
import { settingsPage } from "./settingsPage.ts";

writeFileSync("docs/settings.md", settingsPage());
for (const kind of settingsKinds) {
  const text = JSON.stringify(settingsSchema(kind), null, 2);
  writeFileSync(`configs/schema/${kind}.json`, `${text}\n`);
}
