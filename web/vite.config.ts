import { defineConfig } from "vite";

// `npm run dev` serves the page itself and passes everything else on to a running hub.
const hub = process.env["TICKWIRE_HUB"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    // Inlined assets become data: URLs, which a strict Content-Security-Policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/api": hub,
      // The hub refuses foreign origins, and the dev server is one.
      "/ws": { target: hub, ws: true, headers: { origin: hub } },
    },
  },
});
