/** Files imported `with { type: "file" }`: the path under which the file can be opened, in the binary too. */
declare module "*.wasm" {
  const path: string;
  // biome-ignore lint/style/noDefaultExport: Bun gives a file import as the default export.
  export default path;
}

/** Files imported `with { type: "text" }`: their content. */
declare module "*.proto" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: Bun gives a text import as the default export.
  export default text;
}
