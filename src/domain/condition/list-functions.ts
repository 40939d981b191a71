import {
  type CelFunc,
  type CelList,
  CelScalar,
  type CelValue,
  celFunc,
  celList,
  celListConcat,
  listType,
} from '@bufbuild/cel';

/** Elements of a list that is put behind another piece by piece, as `map` and `filter` do with one at a time. */
const MAX_SMALL = 64;
/** Elements that are copied together at the most: larger pieces stay as they are, so that no memory is asked for in bulk. */
const MAX_PIECE = 4_096;

const LIST = listType(CelScalar.DYN);

/** The pieces of lists that were put together here; what is not known is one piece. */
const pieces = new WeakMap<CelList, ReadonlyArray<readonly CelValue[] | CelList>>();

const sizeOf = (piece: readonly CelValue[] | CelList): number => ('length' in piece ? piece.length : piece.size);

/**
 * Two lists behind each other. The library nests them, so that a list of some thousand elements that a macro has made can be walked
 * no more; here small pieces grow together (each into one of at least twice its size), which walks as quickly as it was made.
 */
function together(left: CelList, right: CelList): CelList {
  if (right.size > MAX_SMALL) return celListConcat(left, right);
  const before = [...(pieces.get(left) ?? [left])];
  let last: readonly CelValue[] = [...right];
  for (let piece = before.at(-1); piece !== undefined; piece = before.at(-1)) {
    const size = sizeOf(piece);
    if (size > last.length || size + last.length > MAX_PIECE) break;
    last = [...piece, ...last];
    before.pop();
  }
  const all = [...before, last];
  const list = celListConcat(...all.map((piece) => ('length' in piece ? celList(piece) : piece)));
  pieces.set(list, all);
  return list;
}

/** The function on lists that macros are made of. */
export const listFunctions: CelFunc[] = [celFunc('_+_', [LIST, LIST], LIST, together)];
