/** A fenced block of a page; `line` is that of its opening fence, `section` the last heading before it. */
export type Block = {
  readonly line: number;
  readonly section: string;
  readonly language: string;
  readonly text: string;
};

export const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

/** @throws where the last block does not end */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let section = '';
  let open: { line: number; language: string; lines: string[] } | undefined;
  for (const [index, line] of page.split('\n').entries()) {
    if (open === undefined && line.startsWith('## ')) section = line.slice(3);
    if (!line.startsWith('```')) open?.lines.push(line);
    else if (open === undefined) open = { line: index + 1, language: line.slice(3), lines: [] };
    else {
      blocks.push({ line: open.line, section, language: open.language, text: open.lines.join('\n') });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the block does not end`);
  return blocks;
}

/** Names the line in whatever is wrong with a block. */
export function at<T>({ line }: Block, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new Error(`line ${line}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}
