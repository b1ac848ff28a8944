import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  // For `npm run dev`: pages from here, everything else from a server on its usual port.
  server: { proxy: { '/v1': 'http://localhost:8080' } },
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The content security policy allows nothing inline, not even a data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
