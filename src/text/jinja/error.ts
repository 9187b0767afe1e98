/** What goes wrong while a template is read or rendered; the caller says of which row. */
export class TemplateError extends Error {}
