/** The words that people write for the contract's enum values, and where settings stand in its messages. */
import { contract } from '@emotune/proto';
import protobuf from 'protobufjs';

/** Whether a field holds values of any kind. */
export function isValue({ resolvedType }: protobuf.Field): boolean {
  return resolvedType?.fullName === '.google.protobuf.Value';
}

/** The field of a message that holds settings by name: in YAML and JSON they stand beside its other fields. */
export function settingsField(type: protobuf.Type): protobuf.Field | undefined {
  return type.fieldsArray.find(
    (field) => field instanceof protobuf.MapField && field.name === 'settings' && isValue(field),
  );
}

let enumNames: Map<string, string> | undefined;

/** `TASK_SENTIMENT_REGRESSION` → `sentiment-regression`; any other text as it is. */
export function shortEnumName(value: string): string {
  if (enumNames === undefined) {
    enumNames = new Map();
    const visit = (namespace: protobuf.NamespaceBase) => {
      for (const item of namespace.nestedArray) {
        if (item instanceof protobuf.Enum) {
          const prefix = `${item.name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()}_`;
          for (const name of Object.keys(item.values)) {
            enumNames!.set(name, name.slice(prefix.length).toLowerCase().replaceAll('_', '-'));
          }
        } else if (item instanceof protobuf.Namespace) visit(item);
      }
    };
    visit(contract());
  }
  return enumNames.get(value) ?? value;
}
