import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const SOURCES = join(process.cwd(), "src");
/** From the lowest layer to the highest. The files directly in `src` are above all layers. */
const LAYERS = ["protocol", "client", "model", "view"];
const TOP = LAYERS.length;

function layerOf(path: string): number {
  const [folder = "", ...rest] = path.split("/");
  if (rest.length === 0) return TOP;
  const layer = LAYERS.indexOf(folder);
  assert.notEqual(layer, -1, `${path} is in no layer; known layers are ${LAYERS.join(", ")}`);
  return layer;
}

/** The files of `src` that a file imports, types included. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(SOURCES, path), "utf8");
  const specifiers = [...text.matchAll(/^(?:import|export)[^;]*?["'](\.[^"']+\.ts)["'];/gms)];
  const folder = dirname(join(SOURCES, path));
  return specifiers.map(([, specifier = ""]) => relative(SOURCES, join(folder, specifier)));
}

test("no file imports from a layer above its own", () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" });
  const modules = files.filter((path) => path.endsWith(".ts"));
  const imports = modules.flatMap((path) => importsOf(path).map((imported) => [path, imported]));
  assert.ok(imports.length > modules.length, "imports were found");
  const upward = imports.filter(([path = "", imported = ""]) => layerOf(imported) > layerOf(path));
  assert.deepEqual(upward, []);
});
