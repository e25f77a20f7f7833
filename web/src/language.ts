// If LANG is C, WebKitGTK says that the user's language is "C". No function of Intl takes that, and uPlot calls one when it is loaded.
try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en" });
}

export {};
