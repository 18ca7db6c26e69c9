import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    // The page's content security policy allows files of the device only: nothing may become a data: URL or an inline script.
    assetsInlineLimit: 0,
    // The notices that the licences of the libraries ask for.
    license: { fileName: "licenses.md" },
    modulePreload: { polyfill: false },
  },
  server: { host: "127.0.0.1", strictPort: true },
});
