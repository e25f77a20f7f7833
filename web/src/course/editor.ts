// The editor of an exercise.
import { indentWithTab } from "@codemirror/commands";
import { cpp } from "@codemirror/lang-cpp";
import { javascript } from "@codemirror/lang-javascript";
import { python } from "@codemirror/lang-python";
import { HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { basicSetup } from "codemirror";

const LANGUAGES = { ".py": python, ".c": cpp, ".js": javascript };

/** The colours are the page's, so that they follow light and dark. */
const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword, tags.controlKeyword], color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.character, tags.docString], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.comment, tags.meta], color: "var(--dim)", fontStyle: "italic" },
  { tag: [tags.definition(tags.function(tags.variableName)), tags.className], fontWeight: "600" },
]);

const THEME = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--pane)", border: "1px solid var(--edge)", borderRadius: "5px", fontSize: "14px" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "monospace", minHeight: "220px" },
  ".cm-gutters": { backgroundColor: "var(--back)", color: "var(--dim)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--chosen)" },
  ".cm-panels": { backgroundColor: "var(--back)", color: "var(--text)" },
  ".cm-tooltip": { backgroundColor: "var(--pane)", border: "1px solid var(--edge)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--chosen)", color: "var(--text)" },
  "&.cm-focused .cm-matchingBracket, .cm-searchMatch, .cm-selectionMatch": { backgroundColor: "var(--changed)" },
});

export interface EditorOptions {
  text: string;
  suffix: keyof typeof LANGUAGES;
  label: string;
  /** The id of the element that describes the keys. */
  describedBy: string;
  onChange(): void;
  onSave(): void;
  onCheck(): void;
}

export class Editor {
  readonly view: EditorView;

  constructor(parent: HTMLElement, options: EditorOptions) {
    const command = (action: () => void) => () => {
      action();
      return true;
    };
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        doc: options.text,
        extensions: [
          keymap.of([
            { key: "Mod-Enter", run: command(options.onCheck) },
            { key: "Mod-s", run: command(options.onSave), preventDefault: true },
            // Escape and then Tab leaves the editor
            indentWithTab,
          ]),
          basicSetup,
          EditorState.tabSize.of(4),
          indentUnit.of("    "),
          EditorView.lineWrapping,
          LANGUAGES[options.suffix](),
          syntaxHighlighting(COLOURS),
          THEME,
          EditorView.contentAttributes.of({ tabindex: "0", "aria-label": options.label, "aria-describedby": options.describedBy }),
          EditorView.updateListener.of((update) => update.docChanged && options.onChange()),
        ],
      }),
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  /** Put another text into the editor. Ctrl-Z brings the old one back. */
  set text(text: string) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  close(): void {
    this.view.destroy();
  }
}
