/* Lets a test inspect and control windows from within Windows.
 *
 *   hand rectangle CLASS             left, top, width and height of the first visible window of the class
 *   hand child CLASS TEXT            whether a visible window of the class has a visible child with this text
 *   hand send CLASS MESSAGE WPARAM   sends a message to the window of the class (numbers in C syntax)
 *   hand broadcast NAME              posts the registered message of that name to every window
 *   hand forget CLASS                removes the icons of the class's window from the taskbar, like an exiting shell
 *   hand value KEY NAME              a value of this user's registry: text unchanged, other types in hexadecimal
 *   hand arguments COMMAND           the command line as split by Windows, one argument per line
 */
#include <windows.h>
#include <shellapi.h>
#include <stdio.h>
#include <wchar.h>

static void print(const wchar_t *text) {
    char bytes[4096];
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, sizeof bytes - 1, NULL, NULL);
    if (length > 0) printf("%s\n", bytes);
}

static HWND visible(const wchar_t *class) {
    HWND window = NULL;
    while ((window = FindWindowExW(NULL, window, class, NULL)) && !IsWindowVisible(window)) {}
    return window;
}

static const wchar_t *wanted;

static BOOL CALLBACK look(HWND part, LPARAM found) {
    wchar_t text[256];
    GetWindowTextW(part, text, 256);
    /* Not every function returns the text of another process's window, but the message does. */
    if (!*text) SendMessageW(part, WM_GETTEXT, 256, (LPARAM)text);
    if (IsWindowVisible(part) && !wcscmp(text, wanted)) *(BOOL *)found = TRUE;
    return TRUE;
}

int wmain(int count, wchar_t **words) {
    if (count < 3) return 64;
    if (!wcscmp(words[1], L"rectangle")) {
        RECT r;
        HWND window = visible(words[2]);
        if (!window || !GetWindowRect(window, &r)) return 1;
        printf("%ld %ld %ld %ld\n", r.left, r.top, r.right - r.left, r.bottom - r.top);
    } else if (!wcscmp(words[1], L"child") && count == 4) {
        BOOL found = FALSE;
        HWND window = NULL;
        wanted = words[3];
        while ((window = FindWindowExW(NULL, window, words[2], NULL))) EnumChildWindows(window, look, (LPARAM)&found);
        return !found;
    } else if (!wcscmp(words[1], L"send") && count == 5) {
        HWND window = FindWindowW(words[2], NULL);
        if (!window) return 1;
        SendMessageW(window, wcstoul(words[3], NULL, 0), wcstoul(words[4], NULL, 0), 0);
    } else if (!wcscmp(words[1], L"broadcast")) {
        return !PostMessageW(HWND_BROADCAST, RegisterWindowMessageW(words[2]), 0, 0);
    } else if (!wcscmp(words[1], L"forget")) {
        NOTIFYICONDATAW icon = {sizeof icon};
        BOOL found = FALSE;
        icon.hWnd = FindWindowW(words[2], NULL);
        for (icon.uID = 0; icon.uID < 64; icon.uID++) found |= Shell_NotifyIconW(NIM_DELETE, &icon);
        return !found;
    } else if (!wcscmp(words[1], L"value") && count == 4) {
        BYTE data[4096] = {0};
        DWORD type, size = sizeof data - sizeof(WCHAR);
        if (RegGetValueW(HKEY_CURRENT_USER, words[2], words[3], RRF_RT_ANY | RRF_NOEXPAND, &type, data, &size)) return 1;
        if (type == REG_SZ) print((wchar_t *)data);
        else
            for (DWORD i = 0; i < size; i++) printf("%02x", data[i]);
    } else if (!wcscmp(words[1], L"arguments")) {
        int parts;
        wchar_t **split = CommandLineToArgvW(words[2], &parts);
        for (int i = 0; split && i < parts; i++) print(split[i]);
    } else {
        return 64;
    }
    return 0;
}
