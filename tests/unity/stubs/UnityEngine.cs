// As much of UnityEngine as the package uses, made anew from Unity's scripting reference: enough to compile the engine
// part, and to run a scene in a test, step by step.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;

namespace UnityEngine
{
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class AddComponentMenu : Attribute
    {
        public AddComponentMenu(string menuName)
        {
        }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class DefaultExecutionOrder : Attribute
    {
        public DefaultExecutionOrder(int order)
        {
        }
    }

    [AttributeUsage(AttributeTargets.Class)]
    public sealed class RequireComponent : Attribute
    {
        public RequireComponent(Type component)
        {
        }
    }

    [AttributeUsage(AttributeTargets.Field)]
    public sealed class TooltipAttribute : Attribute
    {
        public TooltipAttribute(string tooltip)
        {
        }
    }

    [AttributeUsage(AttributeTargets.Field)]
    public sealed class SerializeField : Attribute
    {
    }

    public class Object
    {
        public string name { get; set; } = "";
    }

    public sealed class GameObject : Object
    {
        readonly List<Component> _components = new List<Component>();
        bool _active = true;

        public GameObject(string name, GameObject parent = null)
        {
            this.name = name;
            Parent = parent;
        }

        internal GameObject Parent { get; }

        public T AddComponent<T>() where T : Component, new()
        {
            var component = new T { gameObject = this, name = name };
            _components.Add(component);
            if (_active)
            {
                Enable(component);
            }
            return component;
        }

        public void SetActive(bool value)
        {
            bool before = _active;
            _active = value;
            foreach (Component component in value && !before ? _components : new List<Component>())
            {
                Enable(component);
            }
        }

        static void Enable(Component component)
        {
            if (component is MonoBehaviour behaviour)
            {
                Engine.Enable(behaviour);
            }
        }

        internal T[] All<T>() => _components.OfType<T>().ToArray();
    }

    public class Component : Object
    {
        public GameObject gameObject { get; internal set; }

        public T GetComponent<T>() => gameObject.All<T>().FirstOrDefault();

        public T[] GetComponents<T>() => gameObject.All<T>();

        public T[] GetComponentsInChildren<T>() => gameObject.All<T>();

        public T GetComponentInParent<T>()
        {
            for (GameObject at = gameObject; at != null; at = at.Parent)
            {
                if (at.All<T>().Length > 0)
                {
                    return at.All<T>()[0];
                }
            }
            return default(T);
        }
    }

    public class Behaviour : Component
    {
        public bool isActiveAndEnabled { get; internal set; }
    }

    public class MonoBehaviour : Behaviour
    {
    }

    public enum RuntimePlatform
    {
        LinuxPlayer = 13,
        WebGLPlayer = 17,
    }

    public static class Application
    {
        public static RuntimePlatform platform { get; set; } = RuntimePlatform.LinuxPlayer;
    }

    public static class Time
    {
        static readonly Stopwatch Watch = Stopwatch.StartNew();

        public static double realtimeSinceStartupAsDouble => Watch.Elapsed.TotalSeconds;
    }

    public static class Debug
    {
        public static List<string> Told { get; } = new List<string>();

        public static void LogWarning(object message, Object context) => Told.Add("warning: " + message);

        public static void LogError(object message, Object context) => Told.Add("error: " + message);
    }

    /// <summary>What the engine does with components, on behalf of a test.</summary>
    public static class Engine
    {
        public static void Enable(MonoBehaviour component)
        {
            component.isActiveAndEnabled = true;
            Message(component, "OnEnable");
        }

        public static void Disable(MonoBehaviour component)
        {
            component.isActiveAndEnabled = false;
            Message(component, "OnDisable");
        }

        /// <summary>Calls a component's message, if it has one.</summary>
        public static void Message(MonoBehaviour component, string name)
        {
            const BindingFlags Own = BindingFlags.Instance | BindingFlags.NonPublic;
            MethodInfo method = component.GetType().GetMethod(name, Own);
            if (method != null)
            {
                method.Invoke(component, null);
            }
        }

        /// <summary>Sets a serialized field, as the inspector does.</summary>
        public static void Set(MonoBehaviour component, string field, object value)
        {
            const BindingFlags Own = BindingFlags.Instance | BindingFlags.NonPublic;
            component.GetType().GetField(field, Own).SetValue(component, value);
        }
    }
}
