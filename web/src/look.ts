// How the page looks: the layout, the rows of the ladder, the projector mode and the colours. The browser remembers them.

export type LayoutName = "beginner" | "expert";
export type LadderName = "rows" | "scale";

export interface Look {
  layout?: LayoutName;
  ladder?: LadderName;
  projector?: boolean;
  theme?: "light" | "dark";
}

const NAME = "pystack-stepper";
const YEAR = 365 * 86400;

/** The server has another port each time. A cookie of 127.0.0.1 is there again, but a page from a file has none. */
function stored(): string {
  if (location.protocol === "file:") return localStorage.getItem(NAME) ?? "";
  return document.cookie.split("; ").find((one) => one.startsWith(`${NAME}=`))?.slice(NAME.length + 1) ?? "";
}

/** Return what the browser remembers. Nonsense counts as nothing. */
export function remembered(): Look {
  let words: string[] = [];
  try {
    words = stored().split(".");
  } catch {
    // the browser may forbid it
  }
  return {
    layout: words.includes("beginner") ? "beginner" : words.includes("expert") ? "expert" : undefined,
    ladder: words.includes("rows") ? "rows" : words.includes("scale") ? "scale" : undefined,
    projector: words.includes("projector") || undefined,
    theme: words.includes("dark") ? "dark" : words.includes("light") ? "light" : undefined,
  };
}

export function remember(look: Look): void {
  const words = [look.layout, look.ladder, look.projector && "projector", look.theme].filter(Boolean).join(".");
  try {
    if (location.protocol === "file:") localStorage.setItem(NAME, words);
    else document.cookie = `${NAME}=${words}; path=/; max-age=${YEAR}; samesite=strict`;
  } catch {
    // then the next page begins with the usual look
  }
}

/** Set what style.css depends on. */
export function apply(look: Look): void {
  const root = document.documentElement;
  if (look.theme) root.dataset.theme = look.theme;
  root.toggleAttribute("data-projector", Boolean(look.projector));
}
