// Keeps the site's files, so that the course works without a network. The build writes the list of the files, and a name that depends on
// their contents. A new version of the site is kept beside the old one, and is used after all tabs of the old one are closed.
const FILES = __FILES__;
const BEGINNING = `pystack course ${registration.scope} `;
const NAME = BEGINNING + __VERSION__;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })))));
});

addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(BEGINNING) && name !== NAME;
  event.waitUntil(
    caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => clients.claim()),
  );
});

addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  if (event.request.method !== "GET" || !address.href.startsWith(registration.scope)) return;
  const name = address.href.slice(registration.scope.length).replace(/[?#].*/, "");
  if (!FILES.includes(name || "./")) return;
  event.respondWith(
    caches.open(NAME).then((cache) => cache.match(new URL(name, registration.scope).href)).then((found) => found ?? fetch(event.request)),
  );
});
