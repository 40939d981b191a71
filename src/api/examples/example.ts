/** One of the uses of an operation, or one of its answers. */
export interface NamedExample {
  readonly summary: string;
  readonly value: unknown;
}

export type NamedExamples = Readonly<Record<string, NamedExample>>;

/** What the reference tells of an operation beside its schemas. */
export interface OperationExample {
  /** The `operationId`: generated clients name their functions by it, so it stays as it is. */
  readonly id: string;
  /** For someone who never saw the product, where the summary is not enough. */
  readonly description?: string;
  /** Of the path and the query. */
  readonly parameters?: Readonly<Record<string, string | number>>;
  readonly body?: NamedExamples;
  /** By status. */
  readonly answers: Readonly<Record<number, NamedExamples>>;
  /** By type of content. */
  readonly streams?: Readonly<Record<string, string>>;
}

/** By method and path, as in `get /v1/tools/:name`. */
export type OperationExamples = Readonly<Record<string, OperationExample>>;

/** The only one of its kind. */
export const single = (summary: string, value: unknown): NamedExamples => ({ example: { summary, value } });
